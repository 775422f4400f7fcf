"""Components that compute a prediction: classifier, lung segmentation, input gate, out-of-distribution detector."""
