"""thetanet: one hidden layer, exactly."""
