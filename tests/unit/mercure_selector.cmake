unit_test(mercure_selector SEES http)
unit_test(mercure_selector_cost SEES http)
