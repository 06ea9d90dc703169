#!/bin/sh
# The image's entrypoint: serves the model MODEL_NAME (default "model") from MODEL_BASE_PATH (default /models), with the arguments of `docker run`
# after it, so that they win. When no model was given in any of these ways, it serves the bundled digits model. A first argument that is the path of this
# script, as images derived from TensorFlow Serving's have it in their CMD, is dropped. As root (the image "python", which is made to be derived from)
# the server runs as user 10001.
set -eu

BUNDLED=/usr/share/tflite-serving/models/digits
case ${1:-} in
  /usr/bin/tf_serving_entrypoint | /usr/bin/tf_serving_entrypoint.sh) shift ;;
esac
name=${MODEL_NAME:-model}
path=${MODEL_BASE_PATH:-/models}/$name

given=${MODEL_NAME:-}
for argument; do
  case $argument in
    --model_name=* | --model_base_path=* | --model_config_file=*) given=flag ;;
  esac
done
if [ -z "$given" ] && [ ! -e "$path" ]; then
  echo "MODEL_NAME is not set and $path does not exist: serving the bundled model digits" >&2
  name=digits
  path=$BUNDLED
fi

as_user=
if [ "$(id -u)" = 0 ]; then as_user="setpriv --reuid=10001 --regid=10001 --clear-groups --inh-caps=-all --"; fi
# shellcheck disable=SC2086 # several words, or none
exec $as_user tensorflow_model_server --port=8500 --rest_api_port=8501 --model_name="$name" --model_base_path="$path" "$@"
