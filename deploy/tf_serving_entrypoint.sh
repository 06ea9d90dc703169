#!/bin/sh
# The image's entrypoint: serves the model MODEL_NAME (default "model") from MODEL_BASE_PATH (default /models), with the arguments of `docker run`
# after it, so that they win. When no model was given in any of these ways, it serves the bundled digits model.
set -eu

BUNDLED=/usr/share/tflite-serving/models/digits
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

exec tensorflow_model_server --port=8500 --rest_api_port=8501 --model_name="$name" --model_base_path="$path" "$@"
