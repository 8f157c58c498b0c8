"""The measurements that README quotes; each module is a command."""
