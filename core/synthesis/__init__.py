"""From a case and a request to blended synthetic volumes."""
