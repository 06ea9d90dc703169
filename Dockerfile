# The server's images, drop-ins for TensorFlow Serving's: same entrypoint, ports and variables.
#   docker build -t tflite-serving .
#   docker build -t tflite-serving:minimal --target minimal .   the server and the libraries that it needs alone: no shell, no package manager
#   docker build -t tflite-serving:python --target python .     with Python for custom servables, made to be derived from
#   docker run -p 8500:8500 -p 8501:8501 -v "$PWD/flowers:/models/flowers" -e MODEL_NAME=flowers tflite-serving
#   docker build --platform linux/arm64 …                       compiles here, by a cross compiler, and needs QEMU (binfmt_misc) for the rest

# What the images stand on, if not the newest.
ARG BASE=debian:bookworm-slim

FROM --platform=$BUILDPLATFORM debian:bookworm-slim AS build
ARG TARGETARCH
WORKDIR /source
# First what changes seldom: the packages and LiteRT.
COPY tools tools
RUN machine=$(dpkg --print-architecture) \
  && if [ "${TARGETARCH:-$machine}" = "$machine" ]; then echo release; else echo "$TARGETARCH"; fi >/preset \
  && tools/setup "$(sed s/release/build/ /preset)"
COPY . .
RUN preset=$(cat /preset) \
  && tools/build "$preset" tflite_model_server \
  && mkdir /shipped /shipped/doc \
  && cp "build/$preset/bin/tflite_model_server" "build/$preset/lib/libLiteRt.so" /shipped/ \
  && "$(sed -n 's/^CMAKE_STRIP:.*=//p' "build/$preset/CMakeCache.txt")" --strip-unneeded /shipped/tflite_model_server \
  && tools/sbom built-in >/shipped/doc/built-in.txt \
  && cp LICENSE /shipped/doc/ \
  && cp build/litert*/LICENSE /shipped/doc/LICENSE.litert \
  && for package in libboost1.81-dev libfast-float-dev libpugixml-dev; do cp "/usr/share/doc/$package/copyright" "/shipped/doc/copyright.$package"; done

# Its platform is said for Podman 4, which otherwise goes on with that of the stage before.
FROM --platform=$TARGETPLATFORM $BASE AS base
# The libraries that the server is linked against (tests/image/run fails when one is missing), libcurl and the authorities that HTTPS trusts for traces and for models from object storage.
# Logs, caches and earlier states are removed: what two builds leave has to be the same (docs/images.md).
RUN apt-get update \
  && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    ca-certificates libcurl4 libdeflate0 libfmt9 libnghttp2-14 libprotobuf32 libssl3 zlib1g \
  && rm -rf /var/lib/apt/lists/* /var/lib/dpkg/*-old /var/cache/apt/* /var/cache/debconf/*-old /var/cache/ldconfig/* /var/log/* \
  && echo 'tflite-serving:x:10001:10001::/nonexistent:/usr/sbin/nologin' >>/etc/passwd \
  && echo 'tflite-serving:x:10001:' >>/etc/group \
  && install -d -o 10001 -g 10001 -m 700 /var/cache/tflite-serving
COPY --from=build /shipped/tflite_model_server /usr/bin/
COPY --from=build /shipped/libLiteRt.so /usr/lib/
COPY --from=build /shipped/doc /usr/share/doc/tflite-serving
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
# Compiled Python files know their source by its hash, not by its time.
FROM base AS with-python
COPY python /usr/lib/tflite_serving
RUN export PYTHONHASHSEED=0 SOURCE_DATE_EPOCH=0 \
  && apt-get update \
  && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3 python3-pip \
  && rm -rf /usr/lib/python3*/EXTERNALLY-MANAGED \
  && pip3 install --no-cache-dir --no-deps --require-hashes --only-binary=:all: -r /usr/lib/tflite_serving/requirements.txt \
  && rm -rf /var/lib/apt/lists/* /var/lib/dpkg/*-old /var/cache/apt/* /var/cache/debconf/*-old /var/cache/ldconfig/* /var/log/* \
  && mkdir -p /models

FROM with-python AS collected-python
COPY tools/sbom /tools/
RUN /tools/sbom image /usr/share/doc/tflite-serving/built-in.txt >/sbom.spdx.json

FROM with-python AS python
COPY --from=collected-python /sbom.spdx.json /usr/share/doc/tflite-serving/

FROM base AS default
COPY --from=collected /sbom.spdx.json /usr/share/doc/tflite-serving/
USER 10001
