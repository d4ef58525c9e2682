"""The family of model packs: networks, their licences and their calibration."""
