"""Generated pictures, sounds, videos and meshes."""
