# The Hessian matrix of a 3-4-2 network by R's package nnet (Ripley), for tests/test_hessian.py.
# Rscript tests/golden/nnet_hessian.R > tests/golden/nnet_hessian.json
library(nnet)

X <- matrix(c(0.5, -1.2, 0.3, 2.0, 1.1, -0.4, 0.7, 0.0, -0.6, 1.5, -2.1, 0.8, 0.2, 0.9, -1.4), ncol = 3)
L <- matrix(c(1, 0, 0, 1, 1, 0, 1, 0, 1, 1), ncol = 2)
w <- c(1, 2, 0.5, 1, 3)
# nnet's order: for each hidden unit its bias and weights, then the same for each output.
theta <- round(0.9 * sin(1:26), 3)
net <- nnet(X, L, weights = w, size = 4, Wts = theta, entropy = TRUE, maxit = 0, decay = 0, trace = FALSE)
stopifnot(all(net$wts == theta))

numbers <- function(x) paste0("[", paste(format(x, digits = 17, trim = TRUE), collapse = ", "), "]")
rows <- function(m) paste0("[", paste(apply(m, 1, numbers), collapse = ",\n  "), "]")
cat(sprintf('{"made_by": "R %s, nnet %s",\n', getRversion(), packageVersion("nnet")))
cat('"X":', rows(X), ',\n"L":', rows(L), ',\n"w":', numbers(w), ',\n"theta":', numbers(theta), ",\n")
cat('"E":', format(net$value, digits = 17), ',\n"H":', rows(nnetHess(net, X, L, weights = w)), "}\n")
