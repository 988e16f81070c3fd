"""The operator's face: one page, one websocket protocol, and the socket the command line speaks it on."""
