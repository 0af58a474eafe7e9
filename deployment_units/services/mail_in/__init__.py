"""Mail that comes in: what of it was written anew, whether it is who it says, and reports. Pure."""
