"""What Restow shows: the feed, the read models, the read API, the dashboard, the audit."""
