# The server's images, drop-ins for TensorFlow Serving's: same entrypoint, ports and variables.
#   docker build -t tflite-serving .
#   docker build -t tflite-serving:minimal --target minimal .   the server and the libraries that it needs alone: no shell, no package manager
#   docker build -t tflite-serving:python --target python .     with Python for custom servables, made to be derived from
#   docker run -p 8500:8500 -p 8501:8501 -v "$PWD/flowers:/models/flowers" -e MODEL_NAME=flowers tflite-serving

FROM debian:bookworm-slim AS build
WORKDIR /source
# First what changes seldom: the packages and LiteRT.
COPY tools tools
RUN tools/setup build
COPY . .
RUN tools/build release tflite_model_server \
  && strip --strip-unneeded build/release/bin/tflite_model_server \
  && mkdir /shipped \
  && tools/sbom built-in >/shipped/built-in.txt \
  && cp LICENSE /shipped/ \
  && cp build/litert/LICENSE /shipped/LICENSE.litert \
  && for package in libboost1.81-dev libfast-float-dev; do cp "/usr/share/doc/$package/copyright" "/shipped/copyright.$package"; done

FROM debian:bookworm-slim AS base
# The libraries that the server is linked against (tests/image/run fails when one is missing), libcurl and the authorities that HTTPS trusts for traces.
# Logs and caches are removed: they have the time of the build in them.
RUN apt-get update \
  && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    ca-certificates libcurl4 libdeflate0 libfmt9 libnghttp2-14 libprotobuf32 libssl3 zlib1g \
  && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/ldconfig/aux-cache \
  && echo 'tflite-serving:x:10001:10001::/nonexistent:/usr/sbin/nologin' >>/etc/passwd \
  && echo 'tflite-serving:x:10001:' >>/etc/group
COPY --from=build /source/build/release/bin/tflite_model_server /usr/bin/
COPY --from=build /source/build/litert/libLiteRt.so /usr/lib/
COPY --from=build /shipped /usr/share/doc/tflite-serving
COPY tests/models/digits /usr/share/tflite-serving/models/digits
# The server acts by the name that it is called by.
RUN for name in tensorflow_model_server tf_serving_entrypoint tf_serving_entrypoint.sh; do ln -s tflite_model_server /usr/bin/$name; done
LABEL org.opencontainers.image.title="tflite-serving" \
  org.opencontainers.image.description="TensorFlow Serving's API for .tflite models, on LiteRT" \
  org.opencontainers.image.licenses="Apache-2.0"
ENV MODEL_BASE_PATH=/models
EXPOSE 8500 8501
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s CMD ["/usr/bin/tflite_model_server", "probe"]
ENTRYPOINT ["/usr/bin/tf_serving_entrypoint.sh"]

FROM base AS collected
COPY tools/sbom tools/image_root /tools/
RUN /tools/sbom image /usr/share/doc/tflite-serving/built-in.txt >/sbom.spdx.json \
  && /tools/image_root /minimal /tools/sbom

FROM scratch AS minimal
COPY --from=collected /minimal /
LABEL org.opencontainers.image.title="tflite-serving" \
  org.opencontainers.image.description="TensorFlow Serving's API for .tflite models, on LiteRT; without a shell" \
  org.opencontainers.image.licenses="Apache-2.0"
ENV MODEL_BASE_PATH=/models
EXPOSE 8500 8501
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s CMD ["/usr/bin/tflite_model_server", "probe"]
USER 10001
ENTRYPOINT ["/usr/bin/tf_serving_entrypoint.sh"]

# For derived images: RUN apt-get and RUN pip3 install work as written, since the build is root's; the entrypoint starts the server as user 10001.
FROM base AS with-python
COPY python /usr/lib/tflite_serving
RUN apt-get update \
  && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3 python3-pip \
  && rm -rf /usr/lib/python3*/EXTERNALLY-MANAGED \
  && PYTHONHASHSEED=0 pip3 install --no-cache-dir --no-deps --require-hashes --only-binary=:all: -r /usr/lib/tflite_serving/requirements.txt \
  && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/ldconfig/aux-cache \
  && mkdir -p /models

FROM with-python AS collected-python
COPY tools/sbom /tools/
RUN /tools/sbom image /usr/share/doc/tflite-serving/built-in.txt >/sbom.spdx.json

FROM with-python AS python
COPY --from=collected-python /sbom.spdx.json /usr/share/doc/tflite-serving/

FROM base
COPY --from=collected /sbom.spdx.json /usr/share/doc/tflite-serving/
USER 10001
