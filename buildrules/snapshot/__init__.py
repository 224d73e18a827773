"""What the last green build looked at, so that an unchanged build is answered by comparing stats."""
