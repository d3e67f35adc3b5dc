from window import answers, own_data_folder, phantom, viewer, wait_until

__all__ = ["answers", "own_data_folder", "phantom", "viewer", "wait_until"]
