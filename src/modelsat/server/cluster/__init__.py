"""Beyond one machine, on Ray: replicas of the network (Serve), bulk scoring (Data), training (Train). Extra ``ray``."""
