# A node of a Ray cluster that knows modelsat, for kuberay.yaml:
#   docker build -f deploy/ray.Dockerfile -t modelsat-ray .
FROM rayproject/ray:2.60.0-py312-cpu
WORKDIR /home/ray/modelsat
COPY --chown=ray pyproject.toml README.md LICENSE ./
COPY --chown=ray src src
COPY --chown=ray weights weights
# the version is that of the source copied above
# hadolint ignore=DL3013
RUN pip install --no-cache-dir ".[serve]"
WORKDIR /home/ray
