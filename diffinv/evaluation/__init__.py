"""Methods side by side on the same analogies: data, a bench, scores, tables and reports."""
