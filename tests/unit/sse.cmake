unit_test(sse_event SEES http)
unit_test(sse_stream SEES http LINKS PkgConfig::MHD)
unit_test(sse_lines SEES http)
