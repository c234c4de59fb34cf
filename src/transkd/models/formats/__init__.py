"""Published layouts of weights: tables between their tensor names and ours."""
