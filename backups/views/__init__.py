"""Pages of weddings, vaults, snapshots and jobs. A view fetches through access, calls one service and renders."""
