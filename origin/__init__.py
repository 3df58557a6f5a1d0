"""What CDNs and players talk to: windows, playlists, media, web pages (aiohttp)."""
