"""Generated images, recordings, videos and meshes."""
