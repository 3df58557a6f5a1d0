"""WHIP (RFC 9725): voices of browsers, OBS and ffmpeg come in over WebRTC."""
