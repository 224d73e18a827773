"""The iris model, served by what this workspace's models have in common."""

from labelled import application

app = application("iris.joblib", width=4, labels=["setosa", "versicolor", "virginica"])
