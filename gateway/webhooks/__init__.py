"""Tell customers' own servers what happened, by signed messages in the form of Standard Webhooks 1.0."""
