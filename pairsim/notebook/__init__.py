"""The notebook: live views of a run. Imports ipywidgets and anywidget, so no engine or worker imports it."""
