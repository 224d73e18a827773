"""The engine that speaks the Remote Execution API: actions, their input roots, and the Python that they bring along."""
