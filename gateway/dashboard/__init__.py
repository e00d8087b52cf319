"""The pages people look at: documentation, dashboard, operator's pages. Imported when one is first asked for."""
