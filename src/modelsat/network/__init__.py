"""The network in torch (config, psi, connector, phi, export), and the tokenising that needs none of it."""
