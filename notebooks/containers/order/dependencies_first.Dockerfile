FROM python:3.11-slim
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir --no-compile --requirement requirements.txt
COPY . .
CMD ["python", "small_service.py"]
