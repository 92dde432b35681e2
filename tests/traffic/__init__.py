"""The router before real DNS servers and a real balancer."""
