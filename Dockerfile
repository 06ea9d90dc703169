# The server's images, drop-ins for TensorFlow Serving's: same entrypoint, ports and variables.
#   docker build -t tflite-serving .
#   docker build -t tflite-serving:python --target python .     with Python for custom servables, made to be derived from
#   docker run -p 8500:8500 -p 8501:8501 -v "$PWD/flowers:/models/flowers" -e MODEL_NAME=flowers tflite-serving

FROM debian:bookworm-slim AS build
WORKDIR /source
# First what changes seldom: the packages and LiteRT.
COPY tools tools
RUN tools/setup build
COPY . .
RUN tools/build release tflite_model_server \
  && strip --strip-unneeded build/release/bin/tflite_model_server

FROM debian:bookworm-slim AS base
# The libraries that the server is linked against (tests/image/run fails when one is missing), libcurl and the authorities that HTTPS trusts for traces.
RUN apt-get update \
  && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    ca-certificates libcurl4 libdeflate0 libfmt9 libnghttp2-14 libprotobuf32 libssl3 zlib1g \
  && rm -rf /var/lib/apt/lists/*
COPY --from=build /source/build/release/bin/tflite_model_server /usr/bin/
COPY --from=build /source/build/litert/libLiteRt.so /usr/lib/
COPY --from=build /source/build/litert/LICENSE /usr/share/doc/tflite-serving/LICENSE.litert
COPY LICENSE /usr/share/doc/tflite-serving/
COPY tests/models/digits /usr/share/tflite-serving/models/digits
COPY deploy/tf_serving_entrypoint.sh /usr/bin/
RUN ln -s tflite_model_server /usr/bin/tensorflow_model_server \
  && ln -s tf_serving_entrypoint.sh /usr/bin/tf_serving_entrypoint

ENV MODEL_BASE_PATH=/models
EXPOSE 8500 8501
ENTRYPOINT ["/usr/bin/tf_serving_entrypoint.sh"]

# For derived images: RUN apt-get and RUN pip3 install work as written, since the build is root's; the entrypoint starts the server as user 10001.
FROM base AS python
COPY python /usr/lib/tflite_serving
RUN apt-get update \
  && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3 python3-pip \
  && rm -rf /var/lib/apt/lists/* /usr/lib/python3*/EXTERNALLY-MANAGED \
  && pip3 install --no-cache-dir --no-deps --only-binary=:all: -r /usr/lib/tflite_serving/requirements.txt \
  && mkdir -p /models

FROM base
USER 10001
