"""What scripts/plot.py is made of: results (reading), style and figures_* (drawing), page (report.html), output."""
