FROM python:3.11-slim
WORKDIR /app
COPY . .
RUN pip install --no-cache-dir --no-compile --requirement requirements.txt
CMD ["python", "small_service.py"]
