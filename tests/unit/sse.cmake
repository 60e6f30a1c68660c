unit_test(sse_event SEES http)
