"""The models this user can choose from: built in, imported and trained."""
