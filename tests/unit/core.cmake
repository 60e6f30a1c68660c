# What messages pass on their way: the parts of broker/, and those of http/ that need no
# connection.
unit_test(ledger SEES broker)
unit_test(mailbox SEES broker)
unit_test(packed SEES broker)
unit_test(metrics SEES broker)
unit_test(timers SEES http)
unit_test(writer SEES broker)
unit_test(publish SEES broker)
unit_test(topic_change SEES broker)
unit_test(upload SEES broker)
unit_test(fetch SEES broker)
unit_test(waiters SEES broker)
unit_test(request SEES http LINKS PkgConfig::MHD)
