from window import own_data_folder, phantom, viewer, wait_until

__all__ = ["own_data_folder", "phantom", "viewer", "wait_until"]
