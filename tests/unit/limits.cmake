unit_test(limits SEES broker)
unit_test(limits_report SEES broker)
