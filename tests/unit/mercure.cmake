unit_test(mercure_form SEES http)
unit_test(mercure_update SEES http)
unit_test(mercure_set SEES http)
