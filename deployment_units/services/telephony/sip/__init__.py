"""The call server of telephonic linking: SIP between trunks, leg by leg, nothing copied."""
