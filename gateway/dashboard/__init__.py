"""The pages people look at: documentation, dashboard, operator's pages. Imported at the first request for a page."""
