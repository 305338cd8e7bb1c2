-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION widgets_wh" to load this file. \quit

-- widgets_wh: the extension's schema, roles and catalogs.

COMMENT ON SCHEMA wh IS 'widgets_wh: sources, feeds, dimensions, facts and their runs';
