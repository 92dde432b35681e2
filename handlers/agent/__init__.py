"""What runs on a host: takes orders, carries them out on a runtime, reports, hands over."""
