"""The one way to the network: requests with the user's settings and logins, and downloads into the store."""
