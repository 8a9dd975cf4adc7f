#!/bin/sh
# OSCAR wants a script with every service; with default_command it runs the image's own command instead.
exec kerf-stage serve
