unit_test(mercure_form SEES http)
