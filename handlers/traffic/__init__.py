"""How traffic finds containers: real DNS zones and a real balancer, driven by the router."""
