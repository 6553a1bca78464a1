"""Raw images, videos and waveforms to features."""
